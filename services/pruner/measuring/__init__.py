"""What models cost, measured in a process of its own."""
