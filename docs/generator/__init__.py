"""The reference pages, made from the code when the site is built, so that nothing stands twice."""
