"""What a server needs beside its methods."""
