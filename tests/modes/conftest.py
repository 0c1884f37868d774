"""What torch's compiler needs to begin with."""

from __future__ import annotations

import warnings
from contextlib import suppress

# torch's compiler imports it. The first import warns of distutils, and if that is an error, as it
# is in tests, setuptools takes the wrong distutils and stops.
with warnings.catch_warnings(), suppress(ImportError):
    warnings.simplefilter("ignore")
    import setuptools  # noqa: F401
