// The only place that includes napi.h: binding.gyp's defines decide what it means.
#pragma once

#include <napi.h>
