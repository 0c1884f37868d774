"""The charts of the page, each from stored records to a Vega-Lite plot.

Its doors are the public functions of each module, and `kit` is what they are made of.
"""
