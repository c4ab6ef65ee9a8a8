"""Where responses and conversations are kept between requests."""
