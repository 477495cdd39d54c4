"""Kinds of networks: what each takes, its defaults, names and costs. Imports no torch.

A new kind is a module here and an entry in `specification.KINDS`, its torch module in `torch_kinds`
and an entry in the registry there.
"""
