"""Kinds of networks: what each takes, its defaults, names and costs. Imports no torch.

A new kind is a module here and an entry in `specification.KINDS`; the module of the same name in
`torch_kinds` builds it.
"""
