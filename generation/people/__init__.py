"""People who label images on a page of their own: what is asked, what is kept, what is shown."""
