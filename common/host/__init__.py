"""What a process takes of its host: memory, threads, disk, helper processes."""
