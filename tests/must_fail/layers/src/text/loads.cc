// A network that reads files.
#include "io/json.h"
