package message

import "math/bits"

// Defects is a set of what Parse met that a sound message does not have. None
// of them stops Parse; each says where its picture of the message is a choice.
type Defects uint32

// The closed set. Values are stored: append, never reorder.
const (
	// DefectReadFailed: the reader failed before the message's end. The
	// structure covers what was read and must not be stored.
	DefectReadFailed Defects = 1 << iota
	// DefectNoHeader: a message or part starts with a line that is no header
	// field. Its header is empty and everything is body.
	DefectNoHeader
	// DefectInvalidField: a line in a header is no field; it was passed over.
	DefectInvalidField
	// DefectHeaderEnd: a header ends without its blank line.
	DefectHeaderEnd
	// DefectHeaderTruncated: a header is over MaxHeaderBytes or MaxFields; the
	// fields behind that point were counted and not interpreted. Nothing can be
	// said of such a message, nor hidden in it: doors refuse it.
	DefectHeaderTruncated
	// DefectValueTruncated: a value is over MaxValueBytes, or all values of the
	// message together are over MaxKeptBytes.
	DefectValueTruncated
	// DefectDuplicateField: a field that may stand once stands twice; the first counts.
	DefectDuplicateField
	// DefectAddresses: an address list is over MaxAddresses and was cut.
	DefectAddresses
	// DefectParams: a field has more than MaxParams parameters.
	DefectParams
	// DefectDate: the Date field is not a date.
	DefectDate
	// DefectContentType: a Content-Type makes no sense; the part is text/plain.
	DefectContentType
	// DefectNoBoundary: a multipart names no usable boundary; it is text/plain.
	DefectNoBoundary
	// DefectNoParts: a multipart has no parts; it was given an empty one.
	DefectNoParts
	// DefectUnclosed: a multipart lacks its closing delimiter.
	DefectUnclosed
	// DefectDepth: nesting is over MaxDepth; what is deeper is application/octet-stream.
	DefectDepth
	// DefectParts: there are more than MaxParts parts; the rest has no number.
	DefectParts
	// DefectEncodedContainer: a multipart or message part claims an encoding
	// that hides its structure (RFC 2045, section 6.4, forbids it). Such a
	// message is application/octet-stream; such a multipart is taken as it is.
	DefectEncodedContainer
	// DefectBareCR: a line ends in CR alone.
	DefectBareCR
	// DefectBareLF: a line ends in LF alone.
	DefectBareLF
	// DefectNUL: the message contains NUL bytes.
	DefectNUL
	// DefectLongLine: a line is longer than the 998 bytes of RFC 5322, section 2.1.1.
	DefectLongLine

	defectEnd
)

var defectNames = [...]string{
	"read_failed", "no_header", "invalid_field", "header_end", "header_truncated",
	"value_truncated", "duplicate_field", "addresses", "params", "date",
	"content_type", "no_boundary", "no_parts", "unclosed", "depth", "parts",
	"encoded_container", "bare_cr", "bare_lf", "nul", "long_line",
}

// Has reports whether all of x is in the set.
func (d Defects) Has(x Defects) bool { return d&x == x }

// Names lists the defects by their stable names, which carry nothing of the message.
func (d Defects) Names() []string {
	var names []string
	for ; d != 0; d &= d - 1 {
		if i := bits.TrailingZeros32(uint32(d)); i < len(defectNames) {
			names = append(names, defectNames[i])
		}
	}
	return names
}
