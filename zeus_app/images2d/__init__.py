"""Segmentation of 2-D images: folders of images and masks, training, masks and scores.

Ultrasound, dermoscopy, polyps and slices of CT have neither sequences nor a place in space, so the
pipeline of studies does not fit them.
"""
