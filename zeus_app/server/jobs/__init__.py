"""Jobs: the priority scheduler, progress and cancelling, and encoding in the background."""
