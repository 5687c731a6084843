/** What JSX compiles to, over the host's `createElement`: the plugin's build takes this file for `react/jsx-runtime`. */
import type {ElementType, ReactNode} from 'react';

import {createElement, fragment} from './react';

/** `<>…</>`: told by its identity, as the host's own may not be there when the bundle loads. */
export const Fragment = Symbol('fragment');

type Type = ElementType | typeof Fragment;
type Props = Record<string, unknown>;

function make(type: Type, props: Props, key: string | undefined, children: readonly ReactNode[]) {
    const others = Object.fromEntries(Object.entries(props).filter(([name]) => name !== 'children'));
    const all = key === undefined ? others : {...others, key};
    return createElement(type === Fragment ? fragment() : type, all, ...children);
}

/** An element with one child or none. */
export function jsx(type: Type, props: Props & {children?: ReactNode}, key?: string) {
    return make(type, props, key, props.children === undefined ? [] : [props.children]);
}

/** An element whose children are as many as its source has, so that none needs a key. */
export function jsxs(type: Type, props: Props & {children: ReactNode}, key?: string) {
    return make(type, props, key, props.children as readonly ReactNode[]);
}
