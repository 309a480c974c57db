// Package rendition turns a message into what a person would see of it: the safe view
// (CO-6). A language model reads every byte that it is given, and most of a message is
// never shown to anybody: comments, preheaders, white text on white, attributes,
// metadata, alternatives, comments in header fields, characters without a shape. What
// stands there to steer a machine is gone from a rendition; what stands in plain sight is
// not, and remains to be judged.
//
// The idea that carries it is to write anew rather than to take away. Nothing of the
// original is copied but letters that a person sees and a closed list of facts, each in a
// form that is made here. So a placement that nobody thought of is left out, not let
// through, and what is in doubt is hidden: text too much is a leak, text too little is a
// look at the original by a person.
//
// # What is kept
//
//   - Our own header block, but for Received, which says how the peer called itself.
//   - Of the sender's header: Date, From, Sender, Reply-To, To, Cc, Bcc, Subject, Message-ID,
//     In-Reply-To, References, Auto-Submitted and Precedence, rebuilt from what they say,
//     without comments. An id of a message is needed for replies, and is the one thing kept
//     that no person sees: letters and signs without a space. DKIM and ARC signatures go: they are about other bytes, and are
//     for the stored original, which still verifies.
//   - Text that is shown, as text/plain in UTF-8. HTML becomes text too, with links spelled
//     out. A sanitiser that keeps HTML would leave a style sheet's cascade to whoever reads
//     next, and every attribute that it keeps is a place to hide; a model needs neither.
//     Of a link scheme, host and path are shown; its query and fragment, which are long and
//     read by nobody, are not.
//   - Of alternatives, the last that a mail program can show (RFC 2046, section 5.1.4). A
//     text/plain beside HTML is seen by no person, so it is not the one.
//   - Attachments that are plain text, CSV or tab-separated, HTML (as text), calendars (the
//     properties that a calendar shows), delivery reports (the fields that say what became of
//     the message), and messages, rendered likewise. All others are a named placeholder
//     that says type and size. PDF and office documents hide text in ways that take a layout
//     engine to find; pictures hold metadata, and a machine reads print in them that is too
//     pale or too small for a person. An agent that needs those has the original view.
//     Names of attachments are the sender's text and are made anew.
//
// # How HTML is read
//
// Tokens come from golang.org/x/net/html; a stack of open elements follows the rules by which
// a browser closes them (HTML, section 13.2.6), where those are simple. Its parser is not
// used: reopened formatting makes a tree that is larger than the text by orders of magnitude.
// Where the rules are not simple, elements that hide stay open: too much is hidden. Styles
// are cascaded by hand for the few properties that hide, without a layout: see css.go.
//
// A rendition is a function of the message and of Version alone. It takes time and memory
// in proportion to the text that is read, of which there is at most MaxText.
package rendition
