#include "lanes.h"
int ln_placeholder(void){return 0;}
