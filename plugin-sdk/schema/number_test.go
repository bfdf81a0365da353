package schema_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/skalds-go/skalds/plugin-sdk/schema"
	"github.com/skalds-go/skalds/plugin-sdk/schema/validator"
)

// Numbers that are a few bytes on the wire and millions of digits in memory are refused by their text alone: by schemas
// that compute with them, and by one that does not, which shows that nothing was computed.
func TestOversizedNumbers(t *testing.T) {
	long := strings.Repeat("7", 1001)
	for _, tt := range []struct{ number, want string }{
		{"1e400", ""},
		{"-1.5E-400", ""},
		{"1e+0000000400", ""},
		{strings.Repeat("7", 1000), ""},
		{"1e401", "the number has the exponent 401, allowed are -400 to 400"},
		{"1e-401", "the number has the exponent -401, allowed are -400 to 400"},
		{"1e999999", "the number has the exponent 999999, allowed are -400 to 400"},
		{"-1E+999999999", "the number has the exponent +999999999, allowed are -400 to 400"},
		{"0e99999999999999999999999999", "the number has the exponent 99999999999999999999999999, allowed are -400 to 400"},
		{long, "the number has 1001 characters, at most 1000 are allowed"},
		{"0." + long, "the number has 1003 characters, at most 1000 are allowed"},
	} {
		for _, of := range []string{
			`true`, `{"properties":{"a":{"items":{"type":"integer"}}}}`, `{"properties":{"a":{"items":{"maximum":1,"multipleOf":0.5}}}}`,
			`{"properties":{"a":{"items":{"enum":[1,2]}}}}`, `{"properties":{"a":{"uniqueItems":true}}}`,
		} {
			s, err := validator.Compile(json.RawMessage(of))
			if err != nil {
				t.Fatal(err)
			}
			doc := json.RawMessage(`{"a":[1,` + tt.number + `]}`)
			validated := s.Validate(doc)
			checked, err := schema.Check(json.RawMessage(of), doc)
			if err != nil {
				t.Fatal(err)
			}
			for who, got := range map[string][]schema.FieldError{"host": validated, "check": checked} {
				if tt.want == "" && slices.ContainsFunc(got, func(e schema.FieldError) bool { return strings.HasPrefix(e.Message, "the number has") }) {
					t.Errorf("%.20s by %s, %s: %v", tt.number, of, who, got)
				}
				if want := (schema.FieldError{Field: "a.1", Message: tt.want}); tt.want != "" && !slices.Equal(got, []schema.FieldError{want}) {
					t.Errorf("%.20s by %s, %s: %v, want %v", tt.number, of, who, got, want)
				}
			}
		}
	}
}

func TestASchemaWithAnOversizedNumber(t *testing.T) {
	for _, of := range []string{`{"maximum":1e9999999}`, `{"properties":{"a":{"enum":[1e-9999999]}}}`} {
		if _, err := validator.Compile(json.RawMessage(of)); err == nil || !strings.Contains(err.Error(), "the number has the exponent") {
			t.Errorf("%s: %v", of, err)
		}
	}
}

// BenchmarkLargestNumbers is what attachments full of the largest numbers that are allowed cost.
func BenchmarkLargestNumbers(b *testing.B) {
	for _, number := range []string{"1e400", "1e-400", strings.Repeat("7", 1000)} {
		b.Run(fmt.Sprintf("%.7s", number), func(b *testing.B) {
			s, err := validator.Compile(json.RawMessage(`{"items":{"type":"integer","minimum":-1,"maximum":1,"multipleOf":3},"uniqueItems":true}`))
			if err != nil {
				b.Fatal(err)
			}
			doc := json.RawMessage("[" + strings.TrimSuffix(strings.Repeat(number+",", 128<<10/(len(number)+1)), ",") + "]")
			b.ReportAllocs()
			for b.Loop() {
				if len(s.Validate(doc)) == 0 {
					b.Fatal("it fits")
				}
			}
		})
	}
}
