# SPDX-License-Identifier: LGPL-2.1-or-later
"""A font of 5 x 7 pixels with two more rows below the line, for the printable characters of ASCII."""

WIDTH, HEIGHT = 5, 9

# From the space on. A digit of base 32 is a row, its highest bit the pixel on the left: A is ehhhvhh, for 01110, 10001
# three times, 11111 and 10001 twice. Rows that are not written are empty.
_GLYPHS = """
0 4444404 aaa aavavaa 4fke5u4 op248j3 cik8lid 448 2488842 8422248 04lel4 044v44 00000c48 000v 00000cc 01248g
ehjlphe 4c4444e eh1248v v2421he 26aiv22 vgu11he 68guhhe v124888 ehhehhe ehhf12c 0cc0cc 0cc0c48 248g842 00v0v
8421248 eh12404 eh1dlle ehhhvhh uhhuhhu ehggghe sihhhis vgguggv vgguggg ehgnhhf hhhvhhh e44444e 72222ic hikokih
ggggggv hrllhhh hhpljhh ehhhhhe uhhuggg ehhhlid uhhukih fgge11u v444444 hhhhhhe hhhhha4 hhhllla hha4ahh hhha444
v1248gv e88888e 0g8421 e22222e 4ah 0000000v 842 00e1fhf ggmphhu 00ehghe 11djhhf 00ehvge 698s888 00fhhhf1e
ggmphhh 40c444e 2062222ic ggikoki c44444e 00qllll 00mphhh 00ehhhe 00uhhhugg 00fhhhf11 00mpggg 00fge1u 88s8896
00hhhjd 00hhha4 00hhlla 00ha4ah 00hhhhf1e 00v248v 2448442 4444444 8442448 008l2
""".split()


def glyph(character):
    """The rows of a character as numbers, of others than ASCII's as those of a question mark."""
    known = " " <= character <= "~"
    rows = [int(digit, 32) for digit in _GLYPHS[ord(character if known else "?") - ord(" ")]]
    return rows + [0] * (HEIGHT - len(rows))
