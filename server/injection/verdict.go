package injection

// Verdict is what a score means.
type Verdict uint8

// The verdicts. Partial and Unscored are verdicts too: a message that was not
// looked at in whole is never silently clean.
const (
	Unscored   Verdict = iota // the scorer failed
	Clean                     // below the threshold of suspicion
	Suspicious                // above the threshold that one in a hundred harmless mails reaches
	Quarantine                // above the threshold that one in a thousand reaches, or by a rule of form
	Partial                   // clean as far as it was read, and some of it was not
)

var verdictNames = [...]string{"unscored", "clean", "suspicious", "quarantine", "partial"}

// String is the word that header fields and events use.
func (v Verdict) String() string { return verdictNames[v] }

// A Reason is why a message scored as it did. The list is closed, so that a reason
// never carries text of the message.
type Reason uint16

// The reasons, a set.
const (
	OverrideInstruction   Reason = 1 << iota // tells the reader to drop its instructions
	RoleOrChatMarkup                         // imitates the markup of a chat or of a tool
	AddressedToAgent                         // speaks to a machine that reads mail
	ToolOrExfilRequest                       // wants an act with a mailbox: forward, delete, send
	SecrecyRequest                           // wants its owner not to know
	PromptExtraction                         // wants instructions or secrets of the machine
	HiddenText                               // the telling text is not shown to a person
	InvisibleCharacters                      // it is written in characters without a glyph, or broken up by them
	MixedScript                              // its words mix alphabets that look alike
	EncodedPayload                           // it stands in an encoding
	AlternativeMismatch                      // one alternative of the body says what the other does not
	AttachmentInstruction                    // it stands in an attachment or its name
	HeaderInstruction                        // it stands in a header field
	UnscannedContent                         // something was not looked at
)

var reasonNames = [...]string{"override_instruction", "role_or_chat_markup", "addressed_to_agent", "tool_or_exfil_request",
	"secrecy_request", "prompt_extraction", "hidden_text", "invisible_characters", "mixed_script", "encoded_payload",
	"alternative_mismatch", "attachment_instruction", "header_instruction", "unscanned_content"}

// Names are the reasons of a set, in the order of the list.
func (r Reason) Names() []string {
	var names []string
	for i, name := range reasonNames {
		if r&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// Evidence is a place in a message that speaks for a verdict. It has offsets and a
// digest and no text: whoever may see the text opens the message.
type Evidence struct {
	View    View
	Part    string // IMAP section number; empty: the top header
	Start   int    // in the text of the part, decoded to UTF-8, before normalising
	End     int
	Chain   Chain    // how the text was decoded beyond what MIME says
	Score   float32  // of this place alone
	Reasons Reason   // that this place gives
	SHA256  [32]byte // of the text of the place
	Rule    string   // the rule of form that it broke; empty: the model
}

// Result is one judgement of a message.
type Result struct {
	Score    float32 // 0 to 1, calibrated: see Model
	Verdict  Verdict
	Reasons  Reason
	Evidence []Evidence // at most maxEvidence, by falling score
	Model    string     // name and version of model and rules
	Scanned  int        // texts that were looked at
	Skipped  []Skipped  // parts that were not, with why
}

// Skipped is a part that was not looked at, or not in whole.
type Skipped struct {
	Part string
	Why  string // "encrypted", "type", "limit", "archive", "error"
}

// maxEvidence bounds what is kept of a message that has its tell-tale everywhere.
const maxEvidence = 8
