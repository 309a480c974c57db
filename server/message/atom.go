package message

// atoms are texts that most structures contain, stored as their numbers here.
// The numbers are in databases: append, never change or remove.
var atoms = [...]string{
	"text", "plain", "html", "multipart", "mixed", "alternative", "related", "application", "octet-stream", "image",
	"message", "rfc822", "7bit", "8bit", "binary", "base64", "quoted-printable", "charset", "us-ascii", "utf-8",
	"UTF-8", "US-ASCII", "iso-8859-1", "ISO-8859-1", "windows-1252", "format", "flowed", "delsp", "yes", "boundary",
	"name", "filename", "attachment", "inline", "size", "png", "jpeg", "gif", "pdf", "calendar",
	"method", "REQUEST", "signed", "report", "report-type", "delivery-status", "protocol", "micalg", "pgp-signature", "pkcs7-signature",
	"pkcs7-mime", "global", "rfc822-headers", "feedback-report", "disposition-notification", "type", "text/html", "text/plain", "multipart/alternative", "no",
	"start", "csv", "zip", "json", "xml", "svg+xml", "webp", "digest", "audio", "video",
	MissingHost, "gmail.com", "outlook.com", "hotmail.com", "yahoo.com", "icloud.com", "googlemail.com", "amp", "x-amp-html", "ics",
	"vnd.openxmlformats-officedocument.wordprocessingml.document", "vnd.openxmlformats-officedocument.spreadsheetml.sheet", "msword", "vnd.ms-excel", "x-zip-compressed", "creation-date", "modification-date", "read-date", "attachment-id", "charset*",
	"filename*", "name*", "filename*0*", "filename*1*", "name*0*", "name*1*",
}

var atomNumbers = func() map[string]uint64 {
	m := make(map[string]uint64, len(atoms))
	for i, s := range atoms {
		m[s] = uint64(i)
	}
	return m
}()
