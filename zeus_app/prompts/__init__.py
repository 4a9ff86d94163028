"""Interactive segmentation: points, boxes, scribbles and masks become masks, slice by slice."""
