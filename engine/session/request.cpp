// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/session/request.h"

#include "engine/request/field.h"

namespace mc::session {

void check_fields(const Request& request, ModelFamily family) {
    Fields named = request; // as the element has them, by the names of their files
    if (request.image) named.image_file = "pixels";
    if (request.end_image) named.end_image_file = "pixels";
    if (request.prefix_video) named.prefix_video_file = "pixels";
    mc::check_fields(named, family);
}

} // namespace mc::session
