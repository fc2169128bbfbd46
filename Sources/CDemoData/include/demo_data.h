int demo_placeholder(void);
