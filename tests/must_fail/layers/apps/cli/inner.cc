// A command that reaches behind the public headers.
#include "edit/edit.h"
