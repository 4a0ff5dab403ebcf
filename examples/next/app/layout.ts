import { createElement, type ReactElement, type ReactNode } from 'react'

// oxlint-disable-next-line import/no-default-export -- where Next.js looks
export default function Layout({ children }: { readonly children: ReactNode }): ReactElement {
  return createElement('html', { lang: 'en' }, createElement('body', null, children))
}
