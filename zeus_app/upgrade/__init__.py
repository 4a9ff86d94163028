"""What earlier versions stored gets the names that it has now."""
