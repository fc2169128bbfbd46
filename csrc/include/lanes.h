int ln_placeholder(void);
