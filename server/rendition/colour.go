package rendition

import (
	"math"
	"strconv"
	"strings"
	"sync"
)

// A colour is 24 bits of red, green and blue. Two values stand for what is none.
type colour int32

const (
	transparent colour = -1 - iota
	unread             // a value that is not understood: nobody knows what it shows
	inherited          // that of what is around, also in a link
)

const (
	black colour = 0
	white colour = 0xffffff
	link  colour = 0x0000ee
)

// minContrast is the contrast ratio (WCAG 2.1, section 1.4.3: 1 is none, 21 is black on white) below
// which text is not seen. The palest text that people are meant to read has 1.3.
const minContrast = 1.2

// seenOn reports whether text of one colour can be read on another.
func (c colour) seenOn(paper colour) bool {
	if c < 0 || paper == unread {
		return false
	}
	if paper < 0 {
		paper = white
	}
	light, dark := c.luminance(), paper.luminance()
	if light < dark {
		light, dark = dark, light
	}
	return (light+0.05)/(dark+0.05) >= minContrast
}

// luminance is the relative luminance of WCAG 2.1.
func (c colour) luminance() float64 {
	return 0.2126*linear[c>>16&0xff] + 0.7152*linear[c>>8&0xff] + 0.0722*linear[c&0xff]
}

var linear = func() (t [256]float64) {
	for i := range t {
		if v := float64(i) / 255; v <= 0.04045 {
			t[i] = v / 12.92
		} else {
			t[i] = math.Pow((v+0.055)/1.055, 2.4)
		}
	}
	return t
}()

// parseColour reads a colour of CSS in lower case; ok is false for a word that is none, such as
// one of a shorthand.
func parseColour(s string) (c colour, ok bool) {
	if hex, is := strings.CutPrefix(s, "#"); is {
		return hexColour(hex), true
	}
	if s == "transparent" {
		return transparent, true
	}
	if c, ok := named()[s]; ok {
		return c, true
	}
	name, args, is := strings.Cut(s, "(")
	if !is {
		return 0, false
	}
	args = strings.TrimSuffix(args, ")")
	switch name {
	case "rgb", "rgba":
		return rgbColour(args), true
	case "hsl", "hsla":
		return hslColour(args), true
	case "var", "hwb", "lab", "lch", "oklab", "oklch", "color", "color-mix", "light-dark", "device-cmyk":
		return unread, true
	}
	return 0, false
}

// minAlpha is the opacity below which nothing is seen.
const minAlpha = 0.15

func hexColour(hex string) colour {
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		return unread
	}
	alpha := uint64(255)
	switch len(hex) {
	case 4:
		alpha, n = n&0xf*17, n>>4
		fallthrough
	case 3:
		n = (n>>8&0xf)*0x110000 | (n>>4&0xf)*0x1100 | (n&0xf)*0x11
	case 8:
		alpha, n = n&0xff, n>>8
	case 6:
	default:
		return unread
	}
	if float64(alpha) < minAlpha*255 {
		return transparent
	}
	return colour(n)
}

// arguments are the numbers of a colour's function, with percent of a range.
func arguments(args string, ranges [4]float64) (v [4]float64, ok bool) {
	v[3] = 1
	parts := strings.FieldsFunc(args, func(r rune) bool { return r == ',' || r == ' ' || r == '/' })
	if len(parts) != 3 && len(parts) != 4 {
		return v, false
	}
	for i, p := range parts {
		number, percent := strings.CutSuffix(p, "%")
		n, err := strconv.ParseFloat(strings.TrimSuffix(number, "deg"), 64)
		if err != nil || math.IsNaN(n) {
			return v, false
		}
		if percent {
			n = n / 100 * ranges[i]
		}
		v[i] = n
	}
	return v, true
}

func rgbColour(args string) colour {
	v, ok := arguments(args, [4]float64{255, 255, 255, 1})
	switch {
	case !ok:
		return unread
	case v[3] < minAlpha:
		return transparent
	}
	var c colour
	for _, n := range v[:3] {
		c = c<<8 | colour(max(0, min(255, math.Round(n))))
	}
	return c
}

// hslColour is the conversion of CSS Color 4, section 7.1.
func hslColour(args string) colour {
	v, ok := arguments(args, [4]float64{360, 1, 1, 1})
	switch {
	case !ok:
		return unread
	case v[3] < minAlpha:
		return transparent
	}
	h, s, l := math.Mod(math.Mod(v[0], 360)+360, 360), max(0, min(1, v[1])), max(0, min(1, v[2]))
	a := s * min(l, 1-l)
	var c colour
	for _, n := range [...]float64{0, 8, 4} {
		k := math.Mod(n+h/30, 12)
		c = c<<8 | colour(math.Round(255*(l-a*max(-1, min(k-3, 9-k, 1)))))
	}
	return c
}

// named are the colours of CSS Color 4, section 6.1.
var named = sync.OnceValue(func() map[string]colour {
	words := strings.Fields(colourNames)
	m := make(map[string]colour, len(words)/2)
	for i := 0; i < len(words); i += 2 {
		n, _ := strconv.ParseUint(words[i+1], 16, 32)
		m[words[i]] = colour(n)
	}
	return m
})

const colourNames = `aliceblue f0f8ff antiquewhite faebd7 aqua 00ffff aquamarine 7fffd4 azure f0ffff beige f5f5dc bisque ffe4c4
black 000000 blanchedalmond ffebcd blue 0000ff blueviolet 8a2be2 brown a52a2a burlywood deb887 cadetblue 5f9ea0 chartreuse 7fff00
chocolate d2691e coral ff7f50 cornflowerblue 6495ed cornsilk fff8dc crimson dc143c cyan 00ffff darkblue 00008b darkcyan 008b8b
darkgoldenrod b8860b darkgray a9a9a9 darkgreen 006400 darkgrey a9a9a9 darkkhaki bdb76b darkmagenta 8b008b darkolivegreen 556b2f
darkorange ff8c00 darkorchid 9932cc darkred 8b0000 darksalmon e9967a darkseagreen 8fbc8f darkslateblue 483d8b darkslategray 2f4f4f
darkslategrey 2f4f4f darkturquoise 00ced1 darkviolet 9400d3 deeppink ff1493 deepskyblue 00bfff dimgray 696969 dimgrey 696969
dodgerblue 1e90ff firebrick b22222 floralwhite fffaf0 forestgreen 228b22 fuchsia ff00ff gainsboro dcdcdc ghostwhite f8f8ff gold ffd700
goldenrod daa520 gray 808080 green 008000 greenyellow adff2f grey 808080 honeydew f0fff0 hotpink ff69b4 indianred cd5c5c indigo 4b0082
ivory fffff0 khaki f0e68c lavender e6e6fa lavenderblush fff0f5 lawngreen 7cfc00 lemonchiffon fffacd lightblue add8e6 lightcoral f08080
lightcyan e0ffff lightgoldenrodyellow fafad2 lightgray d3d3d3 lightgreen 90ee90 lightgrey d3d3d3 lightpink ffb6c1 lightsalmon ffa07a
lightseagreen 20b2aa lightskyblue 87cefa lightslategray 778899 lightslategrey 778899 lightsteelblue b0c4de lightyellow ffffe0
lime 00ff00 limegreen 32cd32 linen faf0e6 magenta ff00ff maroon 800000 mediumaquamarine 66cdaa mediumblue 0000cd mediumorchid ba55d3
mediumpurple 9370db mediumseagreen 3cb371 mediumslateblue 7b68ee mediumspringgreen 00fa9a mediumturquoise 48d1cc
mediumvioletred c71585 midnightblue 191970 mintcream f5fffa mistyrose ffe4e1 moccasin ffe4b5 navajowhite ffdead navy 000080
oldlace fdf5e6 olive 808000 olivedrab 6b8e23 orange ffa500 orangered ff4500 orchid da70d6 palegoldenrod eee8aa palegreen 98fb98
paleturquoise afeeee palevioletred db7093 papayawhip ffefd5 peachpuff ffdab9 peru cd853f pink ffc0cb plum dda0dd powderblue b0e0e6
purple 800080 rebeccapurple 663399 red ff0000 rosybrown bc8f8f royalblue 4169e1 saddlebrown 8b4513 salmon fa8072 sandybrown f4a460
seagreen 2e8b57 seashell fff5ee sienna a0522d silver c0c0c0 skyblue 87ceeb slateblue 6a5acd slategray 708090 slategrey 708090 snow fffafa
springgreen 00ff7f steelblue 4682b4 tan d2b48c teal 008080 thistle d8bfd8 tomato ff6347 turquoise 40e0d0 violet ee82ee wheat f5deb3
white ffffff whitesmoke f5f5f5 yellow ffff00 yellowgreen 9acd32 canvas ffffff canvastext 000000 windowtext 000000 window ffffff
linktext 0000ee buttonhighlight ffffff highlighttext ffffff infobackground ffffe1 field ffffff fieldtext 000000
graytext 808080 menu f0f0f0 menutext 000000 threedhighlight ffffff activetext ff0000 visitedtext 551a8b mark ffff00 marktext 000000 buttonface f0f0f0 buttontext 000000`
