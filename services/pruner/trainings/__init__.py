"""Networks that become smaller learn again on the trainer's workers."""
