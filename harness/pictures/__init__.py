"""Pictures of radiographs: what a model looked at, and the boxes, drawn into pixels."""
