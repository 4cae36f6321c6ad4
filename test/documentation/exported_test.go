package documentation_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// module is the prefix of the import paths of the repository.
const module = "minicluster.internal/operator/"

// narrow are the folders whose packages export only what another package uses.
var narrow = []string{"pkg/agent", "pkg/controller", "pkg/metrics", "pkg/flux", "pkg/cmdutil"}

// identifier is a package, by its folder, and a name in it.
type identifier struct{ folder, name string }

// exports collects declarations and uses of exported identifiers.
type exports struct {
	// declared has the position of each exported identifier, and the identifiers that are declared in one group.
	declared map[identifier]token.Position
	groups   [][]identifier
	// used are identifiers that another package names.
	used map[identifier]bool
	// described are types in the signatures and fields of other exported identifiers.
	described map[identifier]bool
	// methods has the position of each exported method of an exported type, by the folder and its name.
	methods map[identifier]token.Position
	// selected has the folders in which a name is selected (x.Name), and required the names of methods of interfaces.
	selected map[string]map[string]bool
	required map[string]bool
}

// libraryMethods are methods of interfaces that packages of the standard library and of other modules declare.
var libraryMethods = []string{
	"Error", "Is", "As", "Unwrap", "String", "MarshalText", "UnmarshalText", "MarshalJSON", "UnmarshalJSON", // errors, fmt, encoding
	"Describe", "Collect", // prometheus.Collector
	"ListAllMetrics", "GetMetricByName", "GetMetricBySelector", "ListAllExternalMetrics", "GetExternalMetric", // provider.MetricsProvider
	"CurrentCertKeyContent", "AddListener", // dynamiccertificates.CertKeyContentProvider
}

// TestExported checks that an exported identifier has a user in another package. A type may also be a part of another
// exported identifier, and a constant may belong to a group with a constant that is used. A method passes if another
// package selects anything with its name, or if an interface has a method with its name.
func TestExported(t *testing.T) {
	t.Parallel()
	e := exports{
		declared: map[identifier]token.Position{}, used: map[identifier]bool{}, described: map[identifier]bool{},
		methods: map[identifier]token.Position{}, selected: map[string]map[string]bool{}, required: map[string]bool{},
	}
	for _, name := range libraryMethods {
		e.required[name] = true
	}
	files := token.NewFileSet()
	for _, name := range listed(t, "*.go") {
		file, err := parser.ParseFile(files, name, read(t, name), parser.SkipObjectResolution)
		require.NoError(t, err)
		folder := path.Dir(name)
		e.collectUses(folder, file)
		if isNarrow(folder) && !strings.HasSuffix(name, "_test.go") {
			for _, declaration := range file.Decls {
				e.collectDeclaration(files, folder, declaration)
			}
		}
	}
	for _, group := range e.groups {
		for _, id := range group {
			if e.used[id] {
				for _, other := range group {
					e.used[other] = true
				}
			}
		}
	}
	for id, position := range e.declared {
		assert.True(t, e.used[id] || e.described[id], "%s: no other package uses %s.%s: unexport it, or move it to export_test.go",
			position, path.Base(id.folder), id.name)
	}
	for id, position := range e.methods {
		assert.True(t, e.required[id.name] || e.isSelectedElsewhere(id), "%s: no other package uses method %s: unexport it, or move it to export_test.go",
			position, id.name)
	}
}

// isSelectedElsewhere reports whether another package than that of a method selects its name.
func (e *exports) isSelectedElsewhere(id identifier) bool {
	for folder := range e.selected[id.name] {
		if folder != id.folder {
			return true
		}
	}
	return false
}

// isNarrow reports whether a folder is one of those that are checked.
func isNarrow(folder string) bool {
	for _, prefix := range narrow {
		if (folder + "/")[:min(len(folder)+1, len(prefix)+1)] == prefix+"/" {
			return true
		}
	}
	return false
}

// collectUses records the identifiers of other packages of the repository in a file.
func (e *exports) collectUses(folder string, file *ast.File) {
	imported := map[string]string{}
	for _, spec := range file.Imports {
		target, ok := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), module)
		if !ok || target == folder {
			continue
		}
		name := path.Base(target)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		imported[name] = target
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && imported[x.Name] != "" {
				e.used[identifier{imported[x.Name], n.Sel.Name}] = true
			}
			if e.selected[n.Sel.Name] == nil {
				e.selected[n.Sel.Name] = map[string]bool{}
			}
			e.selected[n.Sel.Name][folder] = true
		case *ast.InterfaceType:
			for _, method := range n.Methods.List {
				for _, name := range method.Names {
					e.required[name.Name] = true
				}
			}
		}
		return true
	})
}

// collectDeclaration records the exported identifiers of a declaration, and the types that it describes.
func (e *exports) collectDeclaration(files *token.FileSet, folder string, declaration ast.Decl) {
	declare := func(name *ast.Ident) {
		if name.IsExported() {
			e.declared[identifier{folder, name.Name}] = files.Position(name.Pos())
		}
	}
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		switch {
		case d.Recv == nil:
			declare(d.Name)
		case d.Name.IsExported() && receiver(d).IsExported():
			e.methods[identifier{folder, d.Name.Name}] = files.Position(d.Name.Pos())
		}
		if d.Name.IsExported() {
			e.describe(folder, "", d.Type)
		}
	case *ast.GenDecl:
		var group []identifier
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				declare(s.Name)
				e.describe(folder, s.Name.Name, s.Type)
			case *ast.ValueSpec:
				for _, name := range s.Names {
					declare(name)
					group = append(group, identifier{folder, name.Name})
				}
				if s.Type != nil {
					e.describe(folder, "", s.Type)
				}
			}
		}
		if d.Tok == token.CONST {
			e.groups = append(e.groups, group)
		}
	}
}

// receiver returns the name of the type of a method.
func receiver(d *ast.FuncDecl) *ast.Ident {
	expression := d.Recv.List[0].Type
	if pointer, ok := expression.(*ast.StarExpr); ok {
		expression = pointer.X
	}
	if generic, ok := expression.(*ast.IndexExpr); ok {
		expression = generic.X
	}
	name, ok := expression.(*ast.Ident)
	if !ok {
		return ast.NewIdent("_")
	}
	return name
}

// describe records the types of the package in an expression, except for one.
func (e *exports) describe(folder, except string, node ast.Node) {
	ast.Inspect(node, func(n ast.Node) bool {
		if name, ok := n.(*ast.Ident); ok && name.IsExported() && name.Name != except {
			e.described[identifier{folder, name.Name}] = true
		}
		return true
	})
}
