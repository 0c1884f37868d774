"""From a name to a loaded engine: checkpoint, tokenizer, quantized weights, generation.

Its doors are `target.find_target`, `loading.load` and `engine.Engine`.
"""
