package rendition

import (
	"fmt"

	"postern/server/message"
)

// A kind says what becomes of a part that has no parts.
type kind uint8

const (
	kindOther kind = iota // left out
	kindPlain
	kindHTML
	kindCSV
	kindTabs
	kindCalendar
	kindStatus
)

// kinds is the closed list of what is shown.
var kinds = map[string]kind{
	"text/plain": kindPlain, "text/html": kindHTML, "application/xhtml+xml": kindHTML,
	"text/csv": kindCSV, "text/comma-separated-values": kindCSV, "application/csv": kindCSV, "text/tab-separated-values": kindTabs,
	"text/calendar": kindCalendar, "application/ics": kindCalendar,
	"message/delivery-status": kindStatus, "message/global-delivery-status": kindStatus,
}

func kindOf(p *message.Part) kind {
	switch p.Encoding {
	case "7bit", "8bit", "binary", "base64", "quoted-printable":
		return kinds[p.MediaType()]
	}
	return kindOther // its encoding is not known
}

func isCalendar(p *message.Part) bool { return kindOf(p) == kindCalendar }

// labels name types in our words: a type is the sender's text.
var labels = map[string]string{
	"application/pdf": "a PDF document", "application/zip": "a ZIP archive", "application/x-zip-compressed": "a ZIP archive",
	"application/gzip": "an archive", "application/x-tar": "an archive", "application/x-7z-compressed": "an archive", "application/vnd.rar": "an archive",
	"application/msword": "a Word document", "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "a Word document",
	"application/vnd.ms-excel": "an Excel workbook", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "an Excel workbook",
	"application/vnd.ms-powerpoint": "a PowerPoint presentation", "application/vnd.openxmlformats-officedocument.presentationml.presentation": "a PowerPoint presentation",
	"application/vnd.oasis.opendocument.text": "an OpenDocument text", "application/vnd.oasis.opendocument.spreadsheet": "an OpenDocument spreadsheet",
	"application/rtf": "a rich text document", "text/rtf": "a rich text document", "text/enriched": "a rich text", "text/markdown": "a Markdown text",
	"application/json": "a JSON document", "application/xml": "an XML document", "text/xml": "an XML document",
	"application/pgp-signature": "an OpenPGP signature", "application/pgp-encrypted": "an OpenPGP message", "application/pkcs7-signature": "an S/MIME signature",
	"application/x-pkcs7-signature": "an S/MIME signature", "application/pkcs7-mime": "an S/MIME message", "application/x-pkcs7-mime": "an S/MIME message",
	"text/rfc822-headers": "the header of a message", "text/vcard": "a contact", "text/x-vcard": "a contact", "text/css": "a style sheet", "text/javascript": "a script",
	"image/png": "a PNG picture", "image/jpeg": "a JPEG picture", "image/gif": "a GIF picture", "image/webp": "a WebP picture", "image/svg+xml": "an SVG picture",
	"multipart/encrypted": "an encrypted message",
}

// typeLabels name what is known of a type alone.
var typeLabels = map[string]string{"image": "a picture", "audio": "a sound", "video": "a video", "text": "a text", "message": "a message",
	"multipart": "parts inside too many others", "font": "a font"}

// describe says in our words what a part is, and about how large.
func describe(p *message.Part) string {
	label := labels[p.MediaType()]
	if label == "" {
		label = typeLabels[p.Type]
	}
	if label == "" {
		label = "a file"
	}
	n := p.Body.Len()
	if p.Encoding == "base64" {
		n = n * 3 / 4
	}
	switch {
	case n < 1000:
		return fmt.Sprintf("%s, %d bytes", label, n)
	case n < 1_000_000:
		return fmt.Sprintf("%s, about %d kB", label, (n+500)/1000)
	}
	return fmt.Sprintf("%s, about %d.%d MB", label, n/1_000_000, n%1_000_000/100_000)
}

// attachmentName is the name of a part; the sender's is the sender's text.
func attachmentName(what string, n int, subtype string) string {
	ending := map[string]string{"plain": "txt", "csv": "csv", "tab-separated-values": "tsv", "calendar": "ics"}[subtype]
	return fmt.Sprintf("%s-%d.%s", what, n, ending)
}
