// Includes a layer above its own.
#include "edit/edit.h"
