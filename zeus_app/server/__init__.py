"""The MONAI Label server: studies, routes, jobs, clicks and tasks, around one ServerContext."""
