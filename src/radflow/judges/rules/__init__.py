"""The judge by rules, for chest radiographs and carotid ultrasound."""
