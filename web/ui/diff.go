package ui

// Piece is a part of a text that is, or is not, in the other.
type Piece struct {
	Text   string
	Differ bool
}

// maxDiff bounds the texts whose letters are compared; longer ones differ in their middle.
const maxDiff = 600

// Diff marks in two texts the letters that are not in the other: of the longest
// common subsequence, so that a letter too many does not mark all that follows.
func Diff(a, b string) (inA, inB []Piece) {
	x, y := []rune(a), []rune(b)
	head := 0
	for head < len(x) && head < len(y) && x[head] == y[head] {
		head++
	}
	tail := 0
	for tail < len(x)-head && tail < len(y)-head && x[len(x)-1-tail] == y[len(y)-1-tail] {
		tail++
	}
	mx, my := x[head:len(x)-tail], y[head:len(y)-tail]
	same := func(i, j int) bool { return false }
	if len(mx) <= maxDiff && len(my) <= maxDiff {
		same = common(mx, my)
	}
	return pieces(x, head, tail, func(i int) bool { return same(i, -1) }), pieces(y, head, tail, func(j int) bool { return same(-1, j) })
}

// common finds the longest common subsequence. The function it returns says whether
// letter i of a, or j of b, belongs to it.
func common(a, b []rune) func(i, j int) bool {
	length := make([][]uint16, len(a)+1)
	for i := range length {
		length[i] = make([]uint16, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	ofA, ofB := make([]bool, len(a)), make([]bool, len(b))
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] == b[j]:
			ofA[i], ofB[j] = true, true
			i, j = i+1, j+1
		case length[i+1][j] >= length[i][j+1]:
			i++
		default:
			j++
		}
	}
	return func(i, j int) bool { return i >= 0 && ofA[i] || j >= 0 && ofB[j] }
}

// pieces cuts a text where it begins or ceases to differ.
func pieces(text []rune, head, tail int, same func(int) bool) (all []Piece) {
	from, differ := 0, false
	for i := range text {
		now := i >= head && i < len(text)-tail && !same(i-head)
		if now != differ && i > from {
			all = append(all, Piece{string(text[from:i]), differ})
			from = i
		}
		differ = now
	}
	if from < len(text) {
		all = append(all, Piece{string(text[from:]), differ})
	}
	return all
}
