"""Pictures, plots, the HTML report of a run, and the page of results on real MRI."""
