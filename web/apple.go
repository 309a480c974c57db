package web

import (
	"encoding/xml"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// profile answers with settings that Apple's systems install. It has no password:
// the system asks for one. The same address gives the same profile, so that a
// second one takes the place of the first.
func (s *Server) profile(w http.ResponseWriter, r *http.Request, _ string) error {
	if err := reads(w, r); err != nil {
		return err
	}
	address, ok := parseAddress(r.URL.Query().Get("email"))
	if !ok {
		return status(http.StatusBadRequest)
	}
	d, err := s.c.Domain(r.Context(), address.Domain)
	if err != nil {
		return err
	}
	ports := s.c.Ports()
	if ports.IMAPS == 0 || ports.Submissions == 0 {
		return ErrUnknown // the settings of one without the other are no account
	}
	w.Header().Set("Content-Type", "application/x-apple-aspen-config; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+d.Name+`.mobileconfig"`)
	_, err = io.WriteString(w, s.plist(address.String(), d.Name, ports))
	return ignore(err)
}

// plist writes the profile as a property list.
func (s *Server) plist(address, domain string, ports Ports) string {
	account := dict{
		{"PayloadType", "com.apple.mail.managed"}, {"PayloadVersion", 1},
		{"PayloadIdentifier", "postern.mail." + domain}, {"PayloadUUID", profileID("account", address)},
		{"PayloadDisplayName", address}, {"EmailAccountType", "EmailTypeIMAP"},
		{"EmailAccountDescription", domain}, {"EmailAddress", address},
		{"IncomingMailServerAuthentication", "EmailAuthPassword"}, {"IncomingMailServerHostName", s.c.Host},
		{"IncomingMailServerPortNumber", ports.IMAPS}, {"IncomingMailServerUseSSL", true}, {"IncomingMailServerUsername", address},
		{"OutgoingMailServerAuthentication", "EmailAuthPassword"}, {"OutgoingMailServerHostName", s.c.Host},
		{"OutgoingMailServerPortNumber", ports.Submissions}, {"OutgoingMailServerUseSSL", true}, {"OutgoingMailServerUsername", address},
		{"OutgoingPasswordSameAsIncomingPassword", true},
	}
	all := dict{
		{"PayloadType", "Configuration"}, {"PayloadVersion", 1},
		{"PayloadIdentifier", "postern." + domain}, {"PayloadUUID", profileID("profile", address)},
		{"PayloadDisplayName", "Mail of " + domain}, {"PayloadContent", []dict{account}},
	}
	var b strings.Builder
	b.WriteString(xml.Header)
	b.WriteString("<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n")
	all.write(&b, "")
	b.WriteString("</plist>\n")
	return b.String()
}

// profileID is the same for the same address.
func profileID(part, address string) string {
	return strings.ToUpper(uuid.NewSHA1(uuid.NameSpaceURL, []byte("postern:"+part+":"+address)).String())
}

// dict is a dictionary of a property list, in order.
type dict []struct {
	key   string
	value any
}

func (d dict) write(b *strings.Builder, indent string) {
	b.WriteString(indent + "<dict>\n")
	for _, e := range d {
		b.WriteString(indent + "  <key>" + e.key + "</key>\n")
		switch v := e.value.(type) {
		case string:
			b.WriteString(indent + "  <string>")
			xml.EscapeText(b, []byte(v))
			b.WriteString("</string>\n")
		case int:
			b.WriteString(indent + "  <integer>" + strconv.Itoa(v) + "</integer>\n")
		case bool:
			b.WriteString(indent + "  <" + strconv.FormatBool(v) + "/>\n")
		case []dict:
			b.WriteString(indent + "  <array>\n")
			for _, in := range v {
				in.write(b, indent+"    ")
			}
			b.WriteString(indent + "  </array>\n")
		}
	}
	b.WriteString(indent + "</dict>\n")
}
