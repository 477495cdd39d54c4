"""Code as users write it: what the tests of own code send to workers."""
