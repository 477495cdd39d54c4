"""What layers and networks cost on the machine that they are to run on."""
