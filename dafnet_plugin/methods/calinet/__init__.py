"""CaliNet (Dong et al., EMNLP 2022): calibration slots beside the last feed-forward modules."""
