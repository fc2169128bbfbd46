#include "demo_data.h"
int demo_placeholder(void){return 0;}
