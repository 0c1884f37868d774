"""The documents: what they promise is there, and what they show is what is printed."""
