"""From files to studies, aligned volumes and slices."""
