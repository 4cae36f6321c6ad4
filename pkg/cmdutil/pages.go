package cmdutil

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// pageSize is the number of objects that a list request returns.
const pageSize = 500

// Pages lists and watches the objects of an informer.
type Pages struct {
	// Client of the API server. It determines whether the informer may stream the initial list.
	Client any
	// List and Watch send a request.
	List  func(context.Context, metav1.ListOptions) (runtime.Object, error)
	Watch func(context.Context, metav1.ListOptions) (watch.Interface, error)
	// Options sets selectors.
	Options func(*metav1.ListOptions)
	// Transform replaces an object by what the informer stores, which must be a runtime.Object.
	Transform cache.TransformFunc
}

// NewPagedInformer returns an informer that lists objects page by page and transforms the objects of a page before it
// requests the next one. An ordinary informer holds all objects of a list at the same time, which may take many times
// the memory of what it stores. It matters if the API server cannot stream the initial list.
func NewPagedInformer(p Pages, example runtime.Object, indexers cache.Indexers) (cache.SharedIndexInformer, error) {
	lw := &cache.ListWatch{
		ListWithContextFunc: p.list,
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			p.Options(&o)
			return p.Watch(ctx, o)
		},
	}
	informer := cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(lw, p.Client), example, 0, indexers)
	if err := informer.SetTransform(p.Transform); err != nil {
		return nil, fmt.Errorf("creating an informer: %w", err)
	}
	return informer, nil
}

// list returns the transformed objects of all pages.
func (p *Pages) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	p.Options(&o)
	// Only a list of the current state is paged: otherwise the server returns everything from its cache at once.
	o.ResourceVersion, o.ResourceVersionMatch, o.Limit = "", "", pageSize
	all := &pagedList{}
	for {
		page, err := p.List(ctx, o)
		if err != nil {
			return nil, err
		}
		err = meta.EachListItem(page, func(item runtime.Object) error {
			transformed, err := p.Transform(item)
			if err != nil {
				return err
			}
			object, ok := transformed.(runtime.Object)
			if !ok {
				return fmt.Errorf("%T is not an API object", transformed)
			}
			all.Items = append(all.Items, object)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("transforming a list: %w", err)
		}
		list, err := meta.ListAccessor(page)
		if err != nil {
			return nil, fmt.Errorf("reading a list: %w", err)
		}
		all.ResourceVersion = list.GetResourceVersion()
		if o.Continue = list.GetContinue(); o.Continue == "" {
			return all, nil
		}
	}
}

// pagedList is a list of transformed objects.
type pagedList struct {
	metav1.TypeMeta
	metav1.ListMeta

	Items []runtime.Object
}

// DeepCopyObject implements runtime.Object.
func (l *pagedList) DeepCopyObject() runtime.Object {
	c := &pagedList{TypeMeta: l.TypeMeta, ListMeta: *l.DeepCopy(), Items: make([]runtime.Object, 0, len(l.Items))}
	for _, item := range l.Items {
		c.Items = append(c.Items, item.DeepCopyObject())
	}
	return c
}
