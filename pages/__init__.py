"""The Streamlit app: one file per page, listed in ``_router.py``; what pages share is in ``_ui``."""
