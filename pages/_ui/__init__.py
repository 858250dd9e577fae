"""What pages share: words, colours, badges, charts, cached data, downloads and the views of a store without data."""
