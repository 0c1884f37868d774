"""What torch's compiler needs to begin with."""

from __future__ import annotations

import warnings
from contextlib import suppress

# torch's compiler imports setuptools, which wants to be there before pip is: other tests import pip
# in this process, and then setuptools stops at the distutils that it finds.
with warnings.catch_warnings(), suppress(ImportError):
    warnings.simplefilter("ignore")
    import torch.utils.cpp_extension  # noqa: F401
