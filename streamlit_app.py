"""Entry point of the app: ``streamlit run streamlit_app.py``; the pages are listed in pages/_router.py."""

import streamlit as st

app = st.App("pages/_router.py")
