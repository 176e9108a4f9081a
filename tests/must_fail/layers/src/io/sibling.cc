// Includes a folder of its own level.
#include "compute/ops.h"
