"""What a MONAI Label server needs besides tasks: the datastore of studies, routes, guards."""
